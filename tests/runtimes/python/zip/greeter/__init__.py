def greet(name):
    return {"greeting": "Hello " + name + "!"}
