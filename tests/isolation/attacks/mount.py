def attack(args):
    folder = tempfile.mkdtemp()
    call("mount", b"none", folder.encode(), b"tmpfs", 0, None)
    return os.stat(folder)
