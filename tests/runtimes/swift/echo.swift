import Foundation

func main(args: Any) -> Any {
    print("hello stdout")
    FileHandle.standardError.write(Data("hello stderr\n".utf8))
    return args
}
