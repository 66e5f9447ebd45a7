"""This room is `penstock config`: a web server's configuration, or a supervisor's, for one application.

command.py   the command line, and what the file system has to say about it
site.py      what was asked for, checked: addresses, prefixes, directories
servers.py   a row for each SERVER: what it can do, how it quotes, what it cannot take
quoting.py   one function for each syntax: a value in, the word that the file has to hold out
text.py      config_text(): site + row + template -> the file
templates/   a file for each SERVER; what several share begins with an underscore
"""
