"""The pages: what Streamlit draws. What they say and do is decided elsewhere, without Streamlit."""
