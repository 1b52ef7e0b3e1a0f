# `make run` and `make test` each do all the set-up that they need, on a machine with python3, venv, pip and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SAMPLE := assets/sample.mkv

# Processes that share the files of tests: up to 2 GB and a core each.
WORKERS ?= 2

# Qt and its X11 parts, a virtual screen, a font, a compiler for the network's kernels.
DEBIAN := libgl1 libegl1 libxkbcommon0 libglib2.0-0 libfontconfig1 libfreetype6 libdbus-1-3 libxkbcommon-x11-0 \
	libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 xvfb xauth fonts-dejavu-core gcc libc6-dev

# What tests start: as cameras an RTSP server for the system's own Python and Aravis' simulated GigE Vision camera; as a
# hand on keyboard and mouse xdotool; for the station an MQTT broker and a browser.
DEBIAN_TEST := python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
	gstreamer1.0-plugins-ugly aravis-tools libaravis-0.8-0 xdotool mosquitto chromium

.PHONY: run test lint docs wheel system system-test clean

run: $(VENV)/.runtime system
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then \
		$(BIN)/python main.py $(SAMPLE); \
	else \
		echo "no display: running headless on the sample clip"; \
		$(BIN)/python main.py run $(SAMPLE) --csv build/tracks.csv --video build/annotated.mkv --force; \
	fi

test: $(VENV)/.dev system system-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build --strict --quiet --site-dir build/site

wheel: $(VENV)/.dev
	PYTHON=$(BIN)/python sh tools/check_wheel.sh

system:
	@mkdir -p build
	@sh tools/system-packages.sh $(DEBIAN)

system-test:
	@sh tools/system-packages.sh $(DEBIAN_TEST)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.runtime

clean:
	rm -rf $(VENV) build dist
