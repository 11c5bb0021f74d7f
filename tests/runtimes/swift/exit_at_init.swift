import Foundation

exit(3)

func main(args: Any) -> Any {
    return args
}
