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
    hostonly='' instmods dm_crypt xts ecb aesni_intel efivarfs nbd
}

install() {
    local prefix name key file plugin daemon
    prefix=$(vck_prefix)
    inst_binary "$prefix/bin/vck" /bin/vck
    inst_script "$prefix/lib/vck/initrd-volumes" /lib/vck/initrd-volumes
    inst_multiple cat modprobe
    hostonly='' instmods tpm_tis tpm_crb
    # With the daemon and what connects to it, volumes that are not wholly encrypted are served by it.
    daemon=$prefix/sbin/vckd
    [[ -x $daemon ]] || daemon=$prefix/bin/vckd
    for file in "$prefix"/lib/vck/vckd.so "$prefix"/lib/*/vck/vckd.so; do
        [[ ! -r $file ]] || plugin=$file
    done
    if [[ -x $daemon && -n $plugin ]] && type -P nbdkit nbd-client >/dev/null; then
        inst_binary "$daemon" /bin/vckd
        inst_library "$plugin" /bin/vckd.so
        inst_multiple nbdkit nbd-client
    fi
    inst_multiple -o systemd-ask-password
    inst_simple "$vck_list" /etc/vck/volumes
    # A key file is only as safe as what the initrd is on.
    while read -r name _ key _; do
        [[ $name == '#'* || -z $key ]] || inst_simple "$key"
    done <"$vck_list"
    # shellcheck disable=SC2154
    inst_hook initqueue/settled 20 "$moddir/vck-volumes.sh"
}
