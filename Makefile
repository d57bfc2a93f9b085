# Hearth. `make` builds, `make run` starts a server, `make test` proves the tree; `make help` names the rest. Meson does the work.
BUILD ?= build
DEPS   = tools/install-deps.sh
NINJA  = ninja -C

all: $(BUILD)/build.ninja
	@$(NINJA) $(BUILD) --quiet hearth hearth.1

run: all
	@exec $(BUILD)/hearth serve

test: deps-test
	@tools/run-tests.py

bench: bench-library
	@$(DEPS) bench
	@tests/bench/run.sh

bench-library: all
	@$(NINJA) $(BUILD) --quiet bench-library
	-@$(BUILD)/bench-library

check-deep: deps-test
	@$(DEPS) deep
	@tools/check-deep.sh

fuzz:
	@$(DEPS) build fuzz
	@tools/fuzz.sh

format:
	@$(DEPS) test
	@tools/check-format.sh --fix

install: all
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir "$(abspath $(DESTDIR))")

clean:
	rm -rf build build-asan build-tsan build-fuzz build-analyze

help:
	@echo 'make             install what is missing (Debian packages), build $(BUILD)/hearth'
	@echo 'make run         the same, then start a server on 127.0.0.1:8008 with its data in ./data'
	@echo 'make test        all tests, under the sanitizers, with both databases and real clients'
	@echo 'make bench       measure the library, then the server beside Synapse (bench-library: only the first)'
	@echo 'make check-deep  analyzers, sanitizers over everything'
	@echo 'make fuzz        fuzz the parsers                 make format      clang-format the tree'
	@echo 'make install     DESTDIR=... to stage             make clean       remove the build folders'

deps:
	@$(DEPS) build

deps-test:
	@$(DEPS) build test

$(BUILD)/build.ninja: | deps
	@meson setup $(BUILD) -Dbuildtype=release -Doptimization=2 -Dtests=false >/dev/null

.PHONY: all run test bench bench-library check-deep fuzz format install clean help deps deps-test
