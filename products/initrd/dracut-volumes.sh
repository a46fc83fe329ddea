#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# dracut: once the devices are there, and once only.

if [ ! -e /run/vck-volumes ]; then
    : >/run/vck-volumes
    if [ -n "${DRACUT_SYSTEMD:-}" ]; then
        /lib/vck/initrd-volumes </dev/null
    else
        /lib/vck/initrd-volumes </dev/console
    fi
fi
