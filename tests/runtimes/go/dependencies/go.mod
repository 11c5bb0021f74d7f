module action

go 1.24

require example.com/greeter v1.0.0
