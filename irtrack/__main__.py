from irtrack.cli import entry

if __name__ == "__main__":  # not where a process that training starts imports this file (Windows, macOS)
    entry()
