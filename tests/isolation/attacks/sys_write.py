def attack(args):
    with open("/sys/class/net/eth0/tx_queue_len", "w") as file:
        return file.write("1000")
