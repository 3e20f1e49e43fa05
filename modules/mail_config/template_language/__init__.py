"""The language of templates: fields, formulas, the sandbox, and what is wrong with a text."""
