def main(_args)
  "not an object"
end
