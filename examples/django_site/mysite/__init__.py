"""A small Django project without a database: a page, a form, an upload, a file, a stream."""
