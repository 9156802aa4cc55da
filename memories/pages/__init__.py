"""Pages for a user in a browser: thin views that call what the API calls, and templates under ``templates/pages``."""
