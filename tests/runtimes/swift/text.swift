func main(args: Any) -> Any {
    return "not an object"
}
