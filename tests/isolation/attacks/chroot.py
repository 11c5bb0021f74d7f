def attack(args):
    os.chroot(tempfile.mkdtemp())
    return os.listdir("/")
