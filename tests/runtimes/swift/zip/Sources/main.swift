func main(args: Any) -> Any {
    let arguments = args as! [String: Any]
    return greet(arguments["name"] as! String)
}
