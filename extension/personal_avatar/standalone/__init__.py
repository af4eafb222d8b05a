"""The Host without a WebUI: diffusers pipelines, gradio app, FastAPI app."""
