#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dracut: what an initrd needs to open volumes.

vck_list=${VCK_VOLUMES:-/etc/vck/volumes}

vck_prefix() {
    local prefix
    for prefix in "${VCK_PREFIX:-/usr}" /usr/local; do
        [[ ! -x $prefix/bin/vck ]] || break
    done
    echo "$prefix"
}

check() {
    [[ -s $vck_list ]] || return 255
    [[ -x $(vck_prefix)/bin/vck ]]
}

depends() {
    echo dm rootfs-block
}

installkernel() {
    hostonly='' instmods dm_crypt xts ecb aesni_intel efivarfs
}

install() {
    local prefix name key
    prefix=$(vck_prefix)
    inst_binary "$prefix/bin/vck" /bin/vck
    inst_script "$prefix/lib/vck/initrd-volumes" /lib/vck/initrd-volumes
    inst_multiple cat modprobe
    inst_multiple -o systemd-ask-password
    inst_simple "$vck_list" /etc/vck/volumes
    # A key file is only as safe as what the initrd is on.
    while read -r name _ key _; do
        [[ $name == '#'* || -z $key ]] || inst_simple "$key"
    done <"$vck_list"
    # shellcheck disable=SC2154
    inst_hook initqueue/settled 20 "$moddir/vck-volumes.sh"
}
