// RUN: rondo-opt --split-input-file --verify-diagnostics %s

// expected-error @below {{expected a size: a name, a number or a quoted expression such as "2*K"}}
func.func private @no_size(!rondo.val<*>)

// -----

// expected-error @below {{'K V' is not a size expression; write names, numbers, + - * / and ()}}
func.func private @no_expression(!rondo.val<"K V">)

// -----

// expected-error @below {{'K/V' is not a size expression; write names, numbers, + - * / and ()}}
func.func private @division_by_a_name(!rondo.val<"K/V">)

// -----

// expected-error @below {{a value has at most two sizes}}
func.func private @three_sizes(!rondo.val<K, V, W>)

// -----

// expected-error @below {{a state has at most two sizes}}
func.func private @state_of_three_sizes(!rondo.state<K, V, W>)
