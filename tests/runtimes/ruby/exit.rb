def main(_args)
  exit 3
end
