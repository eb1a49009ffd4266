// RUN: rondo-opt %s --split-input-file --verify-diagnostics --rondo-specialize=sizes=K=127,V=64,Z=0

// expected-error @below {{the size 'M' is not given; add M=NUMBER to the sizes}}
rondo.mixer @missing(%q: !rondo.val<M> {rondo.name = "q"}, %k: !rondo.val<K> {rondo.name = "k"}) {
  rondo.yield
}

// -----

rondo.mixer @missing_in_dim(%q: !rondo.val<K> {rondo.name = "q"}) {
  // expected-error @below {{the size 'L' is not given; add L=NUMBER to the sizes}}
  %l = rondo.dim "2*L" : !rondo.val<>
  rondo.yield
}

// -----

rondo.mixer @no_whole_number(%q: !rondo.val<K> {rondo.name = "q"}) {
  // expected-error @below {{the size '(K+V)/2' is no positive whole number with K=127, V=64}}
  %S = rondo.state "S" : !rondo.state<K, "(K+V)/2">
  rondo.yield
}

// -----

// expected-error @below {{the size '-K+V' is no positive whole number with K=127, V=64}}
rondo.mixer @negative(%q: !rondo.val<"V-K"> {rondo.name = "q"}) {
  rondo.yield
}

// -----

// expected-error @below {{the size Z=0 is not between 1 and 2147483647}}
rondo.mixer @zero(%q: !rondo.val<Z> {rondo.name = "q"}) {
  rondo.yield
}
