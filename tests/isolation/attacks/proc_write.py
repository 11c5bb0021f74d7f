def attack(args):
    with open("/proc/sys/kernel/domainname", "w") as file:
        return file.write("elsewhere")
