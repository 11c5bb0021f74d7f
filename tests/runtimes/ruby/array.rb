def main(_args)
  %w[a b]
end
