"""The editor of templates: its form, and texts on their way into the editor and back."""
