def attack(args):
    call("unshare", 0x10000000)
    return os.getuid()
