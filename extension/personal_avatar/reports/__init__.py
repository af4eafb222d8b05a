"""What is shown of a finished piece of work: a contact sheet and a page that needs no server."""
