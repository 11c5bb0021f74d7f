// What is compiled once while the image is built, so that what every action imports is read.

import Foundation

func main(args: Any) -> Any {
    return args
}
