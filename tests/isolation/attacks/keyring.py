def attack(args):
    number = 217 if ARM else 248
    return call("syscall", number, b"user", b"oxwhisk", b"x", ctypes.c_size_t(1), ctypes.c_int(-2))
