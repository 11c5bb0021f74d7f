def attack(args):
    path = f"{tempfile.mkdtemp()}/disk"
    os.mknod(path, 0o60600, os.makedev(*args["target"]))
    with open(path, "rb", buffering=0) as disk:
        if args["secret"] not in disk.read(512).decode():
            raise Refused("another disk")
    return "read it"
