"""Any model in the Hugging Face format."""
