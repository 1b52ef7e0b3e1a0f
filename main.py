from irtrack.cli import entry

entry()
