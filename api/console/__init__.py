"""Pages: rendered on the server, one folder a slice, in the frame that `frame/` holds; `pages.py` names all routes."""
