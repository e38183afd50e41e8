"""The radiologist's page: a Streamlit app over `Predictor`, or over the REST API."""
