func main(args: Any) -> Any {
    return ["a", "b"]
}
