"""F5: the command line: settings, commands, messages for people."""
