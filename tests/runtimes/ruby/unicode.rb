def main(args)
  winter = args["delimiter"] + " ☃ " + args["delimiter"]
  puts winter
  { "winter" => winter }
end
