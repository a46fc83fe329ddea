# SPDX-License-Identifier: Apache-2.0
# A thin front for meson and the scripts in tools/ and bench/. Everything built is under build/.

PYTHON := /usr/bin/python3
RELEASE := build/release
LOADER := build/loader/products/vckboot/vckboot.efi
PREFIX ?= /usr/local

help:
	@echo 'make demo     encrypt a mounted file system in place, kill the daemon, check every file'
	@echo 'make test     every check; ends with "N passed, N failed"'
	@echo 'make build    build vck and vckd into $(RELEASE)'
	@echo 'make drivers  build vck.sys, vck.exe and what tests them into build/nt'
	@echo 'make loader   build vckboot.efi, the boot loader, into build/loader'
	@echo 'make test-boot  boot machines with it under QEMU'
	@echo 'make test-wine  load the drivers under Wine and try everything there'
	@echo 'make install  install them (PREFIX=$(PREFIX), DESTDIR honoured)'
	@echo 'make fuzz     each fuzzer for 60 seconds (FUZZ_SECONDS)'
	@echo 'make crash    a million power cuts, and the daemon killed 50 times (STATES, KILLS)'
	@echo 'make bench    measure against OpenSSL, nbdkit and plain I/O'
	@echo 'make format   lay out the C sources; make format-check only looks'
	@echo 'make clean    remove build/'

setup:
	@tools/setup

build: setup
	@$(PYTHON) tools/run-tests --build release

drivers:
	@tools/setup nt
	@$(PYTHON) tools/run-tests --build nt

loader:
	@tools/setup loader
	@$(PYTHON) tools/run-tests --build loader

demo: build
	@$(PYTHON) tools/demo --build-dir $(RELEASE)

test:
	@tools/setup nt boot
	@$(PYTHON) tools/run-tests

test-boot:
	@tools/setup nt boot
	@$(PYTHON) tools/run-tests --only boot

test-wine:
	@tools/setup nt
	@$(PYTHON) tools/run-tests --only wine

fuzz: setup
	@$(PYTHON) tools/run-tests --only fuzz --fuzz-seconds $(or $(FUZZ_SECONDS),60)

crash: build
	@$(PYTHON) tools/run-tests --only crash --states $(or $(STATES),1000000)
	@$(PYTHON) tools/crash-kill --build-dir $(RELEASE) --kills $(or $(KILLS),50)

bench: build
	@tools/setup bench
	@$(PYTHON) tools/run-tests --build bench
	@! command -v x86_64-w64-mingw32-gcc >/dev/null || $(PYTHON) tools/run-tests --build nt
	@$(PYTHON) bench/report.py --build-dir $(RELEASE)

install:
	@test -e $(RELEASE)/build.ninja || { echo 'make build first'; exit 1; }
	meson configure $(RELEASE) -Dprefix=$(PREFIX)
	meson install -C $(RELEASE) --no-rebuild
	@test ! -e $(LOADER) || install -D -m 644 $(LOADER) $(DESTDIR)$(PREFIX)/lib/vck/vckboot.efi

format-check: setup
	@$(PYTHON) tools/run-tests --only format

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf build

.PHONY: help setup build drivers loader demo test test-boot test-wine fuzz crash bench install format-check format clean
