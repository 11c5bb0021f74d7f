require_relative "lib/greeter"

def main(args)
  Greeter.greet(args["name"])
end
