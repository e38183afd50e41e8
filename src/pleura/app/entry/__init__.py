"""What Streamlit runs. It puts this folder on the path, so nothing else may lie in it."""
