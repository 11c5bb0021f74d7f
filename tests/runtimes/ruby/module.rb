module Greetings
  def self.hello(args)
    { greeting: "Hello #{args['name']}!" }
  end
end
