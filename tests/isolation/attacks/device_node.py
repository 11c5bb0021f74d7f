def attack(args):
    path = f"{tempfile.mkdtemp()}/kmsg"
    os.mknod(path, 0o20600, os.makedev(1, 11))
    return len(os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 8192))
