"""What people and programs read over HTTP: the wall page, the API, its events, the exposition."""
