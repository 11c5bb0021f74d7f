var count = 0

func main(args: Any) -> Any {
    count += 1
    return ["count": count]
}
