#!/bin/sh
# Runs when the outer machine's packages are installed, with its root as $1 and the checkout's tar as $2: what it starts
# with, and the Python environment of developers. The checkout itself, and what PID 1 does, come anew at each start.
set -eu
root=$1
cat >"$root/sbin/nested-init" <<'INIT'
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
modprobe -a 9pnet_virtio 9p
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 share /share
exec sh /share/init
INIT
chmod 755 "$root/sbin/nested-init"
mkdir "$root/share" "$root/cache" "$root/opt/sandtop"
# the few modules that its root needs, instead of all that any machine's may
echo MODULES=list >"$root/etc/initramfs-tools/conf.d/nested"
printf 'virtio_pci\nvirtio_blk\next4\n' >>"$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u
# an index for Python's packages may be reached through a proxy with certificates of its own
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
tar -C "$root/opt/sandtop" -xf "$2"
chroot "$root" /opt/sandtop/bootstrap >/dev/null
find "$root/opt/sandtop" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
rm -rf "$root/var/cache/apt" "$root/usr/share/doc" "$root/usr/share/man" "$root/root/.cache"
