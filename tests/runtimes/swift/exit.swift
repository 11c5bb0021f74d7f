import Foundation

func main(args: Any) -> Any {
    exit(3)
}
