def attack(args):
    text = ctypes.create_string_buffer(4096)
    return call("klogctl", 3, text, 4096)
