from irtrack.cli import main

raise SystemExit(main())
