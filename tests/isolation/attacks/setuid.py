def attack(args):
    user = 65534 if os.getuid() == 0 else None
    said = subprocess.run(["/usr/local/bin/become-root"], capture_output=True, text=True, user=user).stdout
    if "euid=0(root)" not in said:
        raise Refused("it is nobody special")
    return said
