"""This room holds WSGI applications that ask another application: over FastCGI, and over SCGI."""
