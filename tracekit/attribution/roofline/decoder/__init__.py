"""The dimensions of a decoder, as a trace's metadata or a configuration of Hugging Face states."""
